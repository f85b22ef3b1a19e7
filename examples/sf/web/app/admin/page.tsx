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
      <p className="note">
        No release manifest is mounted: no rollout put this server here, and only its revision says what it is.
      </p>
    )}
    {told.release !== null && told.image === null && (
      <p className="note">The release manifest names no image: this server runs from a source checkout, or it is damaged.</p>
    )}
    {told.dirty && <p className="note">It was built from a checkout with changes that no revision names.</p>}
    <dl>
      {rows.map(([name, title]) => (
        <div key={name}>
          <dt>{title}</dt>
          <dd id={`admin-${name}`} className={told[name] ? undefined : "none"}>{told[name] || "none"}</dd>
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
      {told === null && (
        <p className="note">
          <code>/api/version</code> does not answer as it should: which build this is cannot be said.
        </p>
      )}
    </>
  );
}
