/**
 * XML text → a tree of elements; strict: text that is cut off or not well-formed is an error, never half an answer.
 * Input:  the whole document. Output: its root. Errors: OpsError bad-output.
 */
import { SaxesParser } from "saxes";
import { OpsError, reasonOf } from "./errors.ts";

export type XmlElement = {
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: XmlElement[];
};

export function parseXml(text: string, what: string): XmlElement {
  const open: XmlElement[] = [];
  let root: XmlElement | undefined;
  const parser = new SaxesParser({ xmlns: false, position: false });
  parser.on("error", (error) => {
    throw new OpsError("bad-output", `${what}: not well-formed XML: ${reasonOf(error)}`);
  });
  parser.on("opentag", ({ name, attributes }) => {
    const element: XmlElement = { name, attributes, children: [] };
    const parent = open.at(-1);
    if (parent) parent.children.push(element);
    else root ??= element;
    open.push(element);
  });
  parser.on("closetag", () => {
    open.pop();
  });
  parser.write(text).close();
  return (
    root ??
    (() => {
      throw new OpsError("bad-output", `${what}: empty document`);
    })()
  );
}

/** The direct children of that name. */
export const childrenNamed = (element: XmlElement | undefined, name: string): XmlElement[] =>
  element?.children.filter((child) => child.name === name) ?? [];

/** The first direct child of that name. */
export const childNamed = (element: XmlElement | undefined, name: string): XmlElement | undefined =>
  element?.children.find((child) => child.name === name);

/** Every element of that name at any depth, in document order. */
export function* elementsNamed(element: XmlElement, name: string): Generator<XmlElement> {
  for (const child of element.children) {
    if (child.name === name) yield child;
    yield* elementsNamed(child, name);
  }
}
