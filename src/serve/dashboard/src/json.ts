// JSON as the engine writes it: whole numbers of 64 bits, of which JavaScript's numbers hold 53. Pure.

/** A figure that is only drawn, a string, or a number as far as it goes. */
const kToken =
  /"(?:metric|baseline|threshold)_value":-?\d+|"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
/** Where there may be a number too large: most texts have none. */
const kLong = /(?:^|[^\d.])\d{16,}(?![\d.eE])/;

/** JSON.parse, but a whole number that JavaScript would round is given as a text of its digits. */
export function parse_json(text: string): unknown {
  return JSON.parse(kLong.test(text) ? text.replace(kToken, exact) : text);
}

function exact(token: string): string {
  if (token.length < 16 || !/^-?\d+$/.test(token)) return token;
  return Number.isSafeInteger(Number(token)) ? token : `"${token}"`;
}
