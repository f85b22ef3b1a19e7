"use client";
import { useEffect, useState } from "react";
import type { Version } from "./version";

/** What /api/version of the running process says; `undefined` until it has answered, null when it does not. */
export const useVersion = (): Version | null | undefined => {
  const [told, setTold] = useState<Version | null | undefined>(undefined);
  useEffect(() => {
    fetch("/api/version", { cache: "no-store" })
      .then((response) => (response.ok ? response.json() : null))
      .then(setTold, () => setTold(null));
  }, []);
  return told;
};
