import type { Build } from "../../dist/build.js";

/** The smallest extension: greets with the build it runs in. */
export const greet = (build: Build): string => `hello from ${build.name} ${build.version}`;
