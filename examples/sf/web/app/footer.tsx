"use client";
import { useVersion } from "../lib/use-version";

export const Footer = () => {
  const told = useVersion();
  return (
    <footer>
      sf <span id="footer-version">{told?.version}</span> · <span id="footer-revision">{told?.revision.slice(0, 12)}</span>
    </footer>
  );
};
