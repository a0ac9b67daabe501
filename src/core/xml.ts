/**
 * XML text → a tree of elements; strict: text that is cut off or not well-formed is an error, never half an answer.
 * Input:  the whole document. Output: its root. Errors: OpsError bad-output.
 */
import { XmlElement as ParsedElement, XmlText as ParsedText, parseXml as parse } from "@rgrove/parse-xml";
import { OpsError, reasonOf } from "./errors.ts";

export type XmlElement = {
  name: string;
  attributes: Readonly<Record<string, string>>;
  children: XmlElement[];
  /** Its own text, trimmed; empty where it has none. */
  text?: string;
};

export function parseXml(text: string, what: string): XmlElement {
  try {
    const { root } = parse(text);
    if (root) return elementOf(root);
  } catch (error) {
    // The parser's message shows the place in several lines; the first says what is wrong.
    const [first] = reasonOf(error).split("\n");
    throw new OpsError("bad-output", `${what}: not well-formed XML: ${first}`, { cause: error });
  }
  throw new OpsError("bad-output", `${what}: empty document`);
}

const elementOf = ({ name, attributes, children }: ParsedElement): XmlElement => ({
  name,
  attributes,
  children: children.filter((child) => child instanceof ParsedElement).map(elementOf),
  text: children
    .map((child) => (child instanceof ParsedText ? child.text : ""))
    .join("")
    .trim(),
});

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

/** The text of the first direct child of that name; undefined when there is none. */
export const textNamed = (element: XmlElement | undefined, name: string): string | undefined =>
  childNamed(element, name)?.text;
