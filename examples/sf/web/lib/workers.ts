type How = { stubborn?: boolean; detached?: boolean };
type Workers = { list: () => number[]; start: (how: How) => Promise<number> };

/** The processes that this server has started; `scripts/server.cjs` keeps them. */
export const workers = (): Workers => (globalThis as unknown as { sfWorkers: Workers }).sfWorkers;

/** Start a worker as PARAMETERS say, and return its pid. */
export const startWorker = (parameters: unknown): Promise<number> => {
  const { stubborn, detached } = Object(parameters) as How;
  return workers().start({ stubborn: stubborn === true, detached: detached === true });
};
