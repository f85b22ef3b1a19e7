import type { ReactNode } from "react";
import { Footer } from "./footer";

export const metadata = { title: "SF" };

const style = `:root{color-scheme:light dark;font-family:system-ui,sans-serif}
body{max-width:48rem;margin:3rem auto;padding:0 1rem;line-height:1.5}
footer{margin-top:4rem;opacity:.7;font-size:.85rem}th{text-align:left;padding-right:2rem}td{word-break:break-all}`;

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
