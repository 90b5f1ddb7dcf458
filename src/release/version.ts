/** A version names a directory, so it can neither climb nor hide. */
export const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/
export const VERSION_FIX = "use up to 128 letters, digits, and . _ + -, the first a letter or digit"
