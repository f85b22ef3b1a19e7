"use client";
import { useVersion } from "../lib/use-version";
import type { Version } from "../lib/version";

const Build = ({ told }: { told: Version }) => (
  <>
    {told.environment && <strong id="footer-environment">{told.environment}</strong>}
    <span>{told.name} {told.version}</span>
    <span>revision <code id="footer-revision" title={told.revision}>{told.revision.slice(0, 12)}</code></span>
    <span id="footer-release">
      {told.release ? <>release <code title={told.release}>{told.release.slice(7, 19)}</code></> : "no release manifest"}
    </span>
  </>
);

export const Footer = () => {
  const told = useVersion();
  return (
    <footer>
      {told && <Build told={told} />}
      {told === undefined && <span>Asking which build this is…</span>}
      {told === null && <span>The server does not say which build it is.</span>}
    </footer>
  );
};
