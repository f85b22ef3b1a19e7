declare module "ms" {
  /** Milliseconds of TEXT; undefined when it is no duration. */
  export default function ms(text: string): number | undefined;
}
