"use client";
import { useVersion } from "../../lib/use-version";

export default function Admin() {
  const told = useVersion();
  return (
    <>
      <h1>This build</h1>
      <table>
        <tbody>
          {Object.entries(told ?? {}).map(([name, value]) => (
            <tr key={name}><th>{name}</th><td id={`admin-${name}`}>{String(value ?? "none")}</td></tr>
          ))}
        </tbody>
      </table>
    </>
  );
}
