"use client";
import { useEffect, useState } from "react";
import type { Version } from "./version";

/** What /api/version of the running process says; null until it has answered. */
export const useVersion = (): Version | null => {
  const [told, setTold] = useState<Version | null>(null);
  useEffect(() => {
    fetch("/api/version", { cache: "no-store" }).then((r) => r.json()).then(setTold, () => setTold(null));
  }, []);
  return told;
};
