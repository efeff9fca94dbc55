/** The name of a header field (RFC 9110 §5.6.2). */
export const FIELD_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** A character that no value of a header field may hold (RFC 9110 §5.5), line ends before all. */
export const NOT_IN_FIELD = /[^\t\x20-\x7e\x80-\xff]/
