"use client";
import { useVersion } from "../../lib/use-version";
import type { Version } from "../../lib/version";

const rows: readonly [keyof Version, string][] = [
  ["version", "Version"],
  ["revision", "Revision"],
  ["release", "Release"],
  ["image", "Image"],
  ["instance", "Instance"],
  ["startedAt", "Running since"],
];

const Build = ({ told }: { told: Version }) => (
  <>
    {told.release === null && (
      <p className="note">No release manifest is mounted: this server was not rolled out, or by other means.</p>
    )}
    <dl>
      {rows.map(([name, title]) => (
        <div key={name}>
          <dt>{title}</dt>
          <dd id={`admin-${name}`}>{told[name] ?? "none"}</dd>
        </div>
      ))}
    </dl>
  </>
);

export default function Admin() {
  const told = useVersion();
  return (
    <>
      <h1>This build</h1>
      {told && <Build told={told} />}
      {told === undefined && <p>Asking the server…</p>}
      {told === null && <p className="note">The server does not answer.</p>}
      <p><a href="/">Back</a></p>
    </>
  );
}
