import type { Metadata, Viewport } from "next";
import type { ReactNode } from "react";
import { Footer } from "./footer";
import { Header } from "./header";
import "./style.css";

export const metadata: Metadata = { title: "SF", icons: "data:," };
export const viewport: Viewport = { width: "device-width", initialScale: 1, colorScheme: "light dark" };

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en">
      <body>
        <Header />
        <main>{children}</main>
        <Footer />
      </body>
    </html>
  );
}
