// What flagd's JavaScript SDK makes of a key: MurmurHash3 (x86, 32 bit, seed 0) over UTF-16 code units.
// Reads {"snippet": text or null, "units": [...]} and writes [[key, hash], ...]; with a snippet the unit is encoded by it first.
import { readFileSync } from "node:fs";

const mix = (k) => {
  k = Math.imul(k, 0xcc9e2d51);
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593);
};

const hash = (text) => {
  const unit = (place) => text.charCodeAt(place) & 0xffff;
  const whole = text.length - (text.length % 4);
  let h = 0;
  for (let i = 0; i < whole; i += 4) {
    const last = unit(i + 3);
    h ^= mix(unit(i) ^ (unit(i + 1) << 8) ^ (unit(i + 2) << 16) ^ ((last & 0xff) << 24) ^ ((last & 0xff00) >> 8));
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  }
  let rest = 0;
  for (let i = text.length - 1; i >= whole; i--) rest ^= unit(i) << (8 * (i - whole));
  if (rest > 0) h ^= mix(rest); // theirs leaves out a rest that is negative, which ASCII never is
  h ^= text.length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

const { snippet, units } = JSON.parse(readFileSync(0, "utf8"));
const encode = snippet ? new Function(`${snippet}; return routingKey;`)() : (unit) => unit;
process.stdout.write(JSON.stringify(units.map(encode).map((key) => [key, hash(key)])));
