/** What a recording is called, where it says it. */
export interface Tags {
  readonly title?: string | undefined;
  readonly artist?: string | undefined;
}
