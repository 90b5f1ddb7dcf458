/** What may name a rollout: it is a key of the store and a metric attribute. */
export const ROLLOUT_NAME = /^[a-z0-9][a-z0-9_.-]{0,62}$/
/** What may name a version of a release: it becomes the name of a folder, so it can neither climb nor hide. */
export const VERSION = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/
export const VERSION_FIX = "use up to 128 letters, digits, and . _ + -, the first a letter or digit"
