/** Lines of prose that fit the screen: broken between words, later lines moved in; a word that is too long stays whole. `lead` stands before the first as it is. */
export function wrapText(text: string, columns: number, indent: number, lead = /^ */.exec(text)?.[0] ?? ""): string {
  const lines: string[] = [];
  let line = lead;
  let isFirst = true;
  for (const word of text.trim().split(/ +/)) {
    if (!isFirst && [...line].length + 1 + [...word].length > columns) {
      lines.push(line);
      line = `${" ".repeat(indent)}${word}`;
    } else line += isFirst ? word : ` ${word}`;
    isFirst = false;
  }
  lines.push(line);
  return lines.map((one) => `${one}\n`).join("");
}
