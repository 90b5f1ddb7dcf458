// Reads as many event streams of a dashboard as it is told to, and says when all of them have heard something: `viewers.ts URL N`.
const [url = "", viewers = "0"] = process.argv.slice(2)

async function view(): Promise<void> {
  const { body } = await fetch(url)
  const reader = body?.getReader()
  await reader?.read()
  void drain()

  async function drain(): Promise<void> {
    while ((await reader?.read())?.done === false);
  }
}

await Promise.all(Array.from({ length: Number(viewers) }, view))
console.log("all")
