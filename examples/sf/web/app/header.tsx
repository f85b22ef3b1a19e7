"use client";
import { usePathname } from "next/navigation";

const pages = { "/": "Home", "/admin": "Admin" };

export const Header = () => {
  const here = usePathname();
  return (
    <header>
      <strong>SF</strong>
      {Object.entries(pages).map(([path, title]) => (
        <a key={path} href={path} aria-current={path === here ? "page" : undefined}>
          {title}
        </a>
      ))}
    </header>
  );
};
