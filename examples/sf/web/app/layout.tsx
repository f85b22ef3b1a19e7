import type { ReactNode } from "react";
import { Footer } from "./footer";

export const metadata = { title: "SF" };

const style = `
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { margin: 0 auto; max-width: 46rem; min-height: 100vh; padding: 0 1.25rem; box-sizing: border-box;
  display: flex; flex-direction: column; font: 1rem/1.5 system-ui, sans-serif; }
main { flex: 1; padding-top: 3rem; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
a { color: LinkText; }
code, dd { font-family: ui-monospace, monospace; font-size: .9em; }
dl { margin: 0 0 1.5rem; border-top: 1px solid var(--line); }
dl > div { display: grid; grid-template-columns: 9rem 1fr; gap: 0 1rem; padding: .55rem 0;
  border-bottom: 1px solid var(--line); }
dt { opacity: .75; }
dd { margin: 0; overflow-wrap: anywhere; }
.note { border-left: .25rem solid; padding-left: .75rem; }
footer { padding: 2rem 0 1.25rem; opacity: .75; font-size: .85rem; }
@media (max-width: 32rem) { dl > div { grid-template-columns: 1fr; } main { padding-top: 1.5rem; } }
`;

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <style>{style}</style>
        <main>{children}</main>
        <Footer />
      </body>
    </html>
  );
}
