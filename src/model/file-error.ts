const READING: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EISDIR: "it is a folder; name a file",
  ENOTDIR: "a part of its path is a file",
  EACCES: "this user may not read it",
  EPERM: "this user may not read it",
  ENAMETOOLONG: "its name is too long",
  ELOOP: "its links lead in a circle",
  ERR_ENCODING_INVALID_ENCODED_DATA: "it is not UTF-8",
}

const WRITING: Readonly<Record<string, string>> = {
  ...READING,
  ENOENT: "its folder is not there; make it first",
  EEXIST: "it is there already; name another",
  EISDIR: "it is a folder; name a file",
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "its file system can only be read",
  ENOSPC: "the disk is full",
  EDQUOT: "this user's share of the disk is full",
}

/** Say for people why a file cannot be read: the system's own code where there is nothing better to say. */
export const whyUnread = (error: unknown): string => wordsIn(READING, error)

/** The same of a file, or a folder, that cannot be written. */
export const whyUnwritten = (error: unknown): string => wordsIn(WRITING, error)

function wordsIn(words: Readonly<Record<string, string>>, error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown"
  return words[code] ?? code
}
