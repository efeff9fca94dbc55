/** A place on this machine where a model server usually listens. */
export interface LocalPlace {
  /** The id that the server gets. */
  readonly id: string
  /** What people call it. */
  readonly name: string
  readonly kind: string
  /** Without a path and trailing slash. */
  readonly baseUrl: string
  /** Where its list of models is, and the field that holds it. */
  readonly path: string
  readonly field: string
}
