export { ERROR_CODES, SerinError, describeProblems, isSerinError, type Problem, type SerinErrorCode } from "./errors.js"
