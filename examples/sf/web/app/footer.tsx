"use client";
import { useVersion } from "../lib/use-version";

export const Footer = () => {
  const told = useVersion();
  if (told === null) return <footer id="footer">The server does not say which build it is.</footer>;
  return (
    <footer id="footer">
      sf {told?.version} · <code title={told?.revision}>{told?.revision.slice(0, 12)}</code>
    </footer>
  );
};
