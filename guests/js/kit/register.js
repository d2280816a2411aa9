// Lets node find the double where a guest imports the host: `node --import ./kit/register.js --test`.

import { register } from "node:module";
import { isMainThread } from "node:worker_threads";

// Node runs hooks on a thread of their own, which loads this file again.
if (isMainThread) register(import.meta.url);

export function resolve(name, context, next) {
  const double = new URL("testing.js", import.meta.url).href;
  return name.startsWith("innkeeper:session-cache/host@") ? { url: double, shortCircuit: true } : next(name, context);
}
