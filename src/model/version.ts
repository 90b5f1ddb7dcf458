/** This version of serin. A constant, so that it is also known where the package was bundled into an application; a test compares it with the manifest. */
export const SERIN_VERSION = "0.1.0"
