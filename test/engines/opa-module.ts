/**
 * A policy in WebAssembly with the interface that modules of `opa build -t wasm` have (openpolicyagent.org/docs/wasm, ABI 1.2), written by
 * hand, so that tests need no compiler of Rego: the library that runs it is the real one, the policy is not. It stands for
 *
 *     agent/decision: input.amount <= limit                          (true or false)
 *     agent/record:   { "outcome": "allow" or "escalate", "rules": … }   (by the same limit)
 *
 * where `limit` is that of the data document, or `limit` of the options. It finds `"amount":` in the text of the input, is undefined where
 * there is none, and aborts on a negative one; after that, the instance allows everything, as one whose stack was left as it was might.
 */
export function opaModule({ limit = 100, entrypoints = ["agent/decision"] } = {}): Uint8Array {
  const texts = layOut([
    "{}",
    JSON.stringify(Object.fromEntries(entrypoints.map((name, i) => [name, i]))),
    '"amount":',
    '"limit":',
    "negative amount",
    "[]",
    '[{"result":true}]',
    '[{"result":false}]',
    '[{"result":{"outcome":"allow","rules":["small"]}}]',
    '[{"result":{"outcome":"escalate","reason":"large","rules":["large","all"]}}]',
  ])
  const [builtins, names, amountKey, limitKey, negative, undefinedResult, yes, no, allow, escalate] = texts.addresses

  const types = [
    [[I32], []],
    [[], [I32]],
    [[I32], [I32]],
    [[I32, I32], [I32]],
    [[I32, I32, I32, I32, I32, I32, I32], [I32]],
  ] as const
  const ABORT = 0 // the import
  const FIND = 1

  /** find(text, key): the whole number behind the key in a text that ends with NUL; -1: there is none; -2: it is negative. */
  const find = [
    ...block([
      ...loop([
        ...byteAt(get(0)), EQZ, ...branchIf(1),
        ...constant(0), ...set(2),
        ...block([
          ...loop([
            ...byteAt([...get(1), ...get(2), ADD]), EQZ,
            ...when([
              ...get(0), ...get(2), ADD, ...set(0), ...constant(0), ...set(3),
              ...byteAt(get(0)), ...constant(45), EQ, ...when([...constant(-2), RETURN]),
              ...loop([
                ...byteAt(get(0)), ...constant(48), SUB, ...tee(2), ...constant(10), LESS,
                ...when([
                  ...get(3), ...constant(10), MUL, ...get(2), ADD, ...set(3),
                  ...get(0), ...constant(1), ADD, ...set(0), ...branch(1),
                ]),
              ]),
              ...get(3), RETURN,
            ]),
            ...byteAt([...get(0), ...get(2), ADD]), ...byteAt([...get(1), ...get(2), ADD]), NOT_EQ, ...branchIf(1),
            ...get(2), ...constant(1), ADD, ...set(2), ...branch(0),
          ]),
        ]),
        ...get(0), ...constant(1), ADD, ...set(0), ...branch(0),
      ]),
    ]),
    ...constant(-1),
  ] // prettier-ignore

  /** opa_eval(reserved, entrypoint, data, input, length, heap, format); 7 is the amount, 8 the limit, 9 whether it is within. */
  const evaluate = [
    ...get(3), ...get(4), ADD, ...constant(0), ...STORE_BYTE,
    ...readGlobal(1), ...when([...constant(yes!), RETURN]),
    ...get(3), ...constant(amountKey!), ...call(FIND), ...tee(7), ...constant(-2), EQ,
    ...when([...constant(1), ...writeGlobal(1), ...constant(negative!), ...call(ABORT), UNREACHABLE]),
    ...get(7), ...constant(-1), EQ, ...when([...constant(undefinedResult!), RETURN]),
    ...get(2), ...constant(limitKey!), ...call(FIND), ...tee(8), ...constant(-1), EQ,
    ...when([...constant(limit), ...set(8)]),
    ...get(7), ...get(8), AT_MOST, ...set(9),
    ...get(1), ...when([...constant(allow!), ...constant(escalate!), ...get(9), SELECT, RETURN]),
    ...constant(yes!), ...constant(no!), ...get(9), SELECT,
  ] // prettier-ignore

  const functions: readonly { readonly name?: string; readonly type: number; readonly locals: number; readonly body: readonly number[] }[] = [
    { type: 3, locals: 2, body: find },
    { name: "builtins", type: 1, locals: 0, body: constant(builtins!) },
    { name: "entrypoints", type: 1, locals: 0, body: constant(names!) },
    // A value is its text: parsing ends it with NUL, for which `opa_malloc` leaves room, and dumping is nothing.
    { name: "opa_json_dump", type: 2, locals: 0, body: get(0) },
    { name: "opa_json_parse", type: 3, locals: 0, body: [...get(0), ...get(1), ADD, ...constant(0), ...STORE_BYTE, ...get(0)] },
    { name: "opa_malloc", type: 2, locals: 0, body: [...readGlobal(0), ...readGlobal(0), ...get(0), ADD, ...constant(8), ADD, ...writeGlobal(0)] },
    { name: "opa_heap_ptr_get", type: 1, locals: 0, body: readGlobal(0) },
    { name: "opa_heap_ptr_set", type: 0, locals: 0, body: [...get(0), ...writeGlobal(0)] },
    { name: "opa_eval", type: 4, locals: 3, body: evaluate },
  ] // prettier-ignore

  const globals = [
    [I32, 1, ...constant(HEAP), END],
    [I32, 1, ...constant(0), END],
    [I32, 0, ...constant(1), END],
    [I32, 0, ...constant(2), END],
  ]
  const exported = functions.flatMap(({ name }, i) =>
    name === undefined ? [] : [[...text(name), 0, ...unsigned(i + 1)]],
  )
  return Uint8Array.from([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, types.map(([takes, gives]) => [0x60, ...vector(takes.map((one) => [one])), ...vector(gives.map((one) => [one]))])),
    ...section(2, [[...text("env"), ...text("memory"), 2, 0, 2], [...text("env"), ...text("opa_abort"), 0, 0]]),
    ...section(3, functions.map(({ type }) => [type])),
    ...section(6, globals),
    ...section(7, [...exported, [...text("opa_wasm_abi_version"), 3, 2], [...text("opa_wasm_abi_minor_version"), 3, 3]]),
    ...section(10, functions.map(({ locals, body }) => sized([...(locals > 0 ? [1, locals, I32] : [0]), ...body, END]))),
    ...section(11, [[0, ...constant(TEXTS), END, ...unsigned(texts.bytes.length), ...texts.bytes]]),
  ]) // prettier-ignore
}

/** Where the texts lie, and where the heap begins. */
const TEXTS = 1024
const HEAP = 65_536

function layOut(texts: readonly string[]): {
  readonly addresses: readonly number[]
  readonly bytes: readonly number[]
} {
  const bytes: number[] = []
  const addresses = texts.map((one) => {
    const at = TEXTS + bytes.length
    bytes.push(...Buffer.from(one), 0)
    return at
  })
  return { addresses, bytes }
}

// Instructions and encodings of the binary format: webassembly.github.io/spec/core/binary
const [I32, NONE, END, RETURN, UNREACHABLE, SELECT] = [0x7f, 0x40, 0x0b, 0x0f, 0x00, 0x1b]
const [EQZ, EQ, NOT_EQ, LESS, AT_MOST] = [0x45, 0x46, 0x47, 0x49, 0x4c]
const [ADD, SUB, MUL] = [0x6a, 0x6b, 0x6c]
const STORE_BYTE = [0x3a, 0, 0]
const get = (i: number): number[] => [0x20, i]
const set = (i: number): number[] => [0x21, i]
const tee = (i: number): number[] => [0x22, i]
const readGlobal = (i: number): number[] => [0x23, i]
const writeGlobal = (i: number): number[] => [0x24, i]
const constant = (value: number): number[] => [0x41, ...signed(value)]
const byteAt = (address: readonly number[]): number[] => [...address, 0x2d, 0, 0]
const call = (i: number): number[] => [0x10, i]
const branch = (depth: number): number[] => [0x0c, depth]
const branchIf = (depth: number): number[] => [0x0d, depth]
const block = (body: readonly number[]): number[] => [0x02, NONE, ...body, END]
const loop = (body: readonly number[]): number[] => [0x03, NONE, ...body, END]
const when = (body: readonly number[]): number[] => [0x04, NONE, ...body, END]

const sized = (bytes: readonly number[]): number[] => [...unsigned(bytes.length), ...bytes]
const text = (value: string): number[] => sized([...Buffer.from(value)])
const vector = (items: readonly (readonly number[])[]): number[] => [...unsigned(items.length), ...items.flat()]
const section = (id: number, items: readonly (readonly number[])[]): number[] => [id, ...sized(vector(items))]

function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)]
}

function signed(value: number): number[] {
  const rest = value >> 7
  const isLast = (rest === 0 && (value & 64) === 0) || (rest === -1 && (value & 64) !== 0)
  return isLast ? [value & 127] : [(value & 127) | 128, ...signed(rest)]
}
