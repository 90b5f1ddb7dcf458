export { bearer, type Access, type Authorize, type BearerTokens } from "./serve/bearer.js"
export { storeHandler, type StoreHandlerOptions } from "./serve/handler.js"
export { listen, type Listening, type ListenOptions } from "./serve/listen.js"
export { nodeListener } from "./serve/node.js"
