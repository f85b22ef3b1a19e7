"use client";
import { useEffect, useState } from "react";
import type { Version } from "./version";

const ask = async (): Promise<Version | null> => {
  try {
    const response = await fetch("/api/version", { cache: "no-store", signal: AbortSignal.timeout(5000) });
    const told = response.ok ? await response.json() : null;
    return typeof told?.revision === "string" ? told : null;
  } catch {
    return null;
  }
};

let asked: Promise<Version | null> | undefined;

/** What /api/version of the running process says, asked once a page; undefined until it answers, null when it does not. */
export const useVersion = (): Version | null | undefined => {
  const [told, setTold] = useState<Version | null | undefined>(undefined);
  useEffect(() => {
    asked ??= ask();
    void asked.then(setTold);
  }, []);
  return told;
};
