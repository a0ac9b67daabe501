import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { sshArgv } from "../../src/core/ssh.ts";

describe("a command for another machine", () => {
  it.each(["-oProxyCommand=x", "a b", "", "root@host", "host;ls", "a\nb", "host-"])("refuses the host %j", (host) => {
    expect(() => sshArgv(host, ["true"])).toThrow(expect.objectContaining({ kind: "usage" }));
  });

  it.each([
    ["nothing special", ["echo", "a"]],
    ["spaces and quotes", ["echo", 'it\'s a "test"', "$HOME `id` \\n"]],
    ["what find takes", ["find", "(", "!", ")", "*", "~"]],
    ["an empty word and a line break", ["echo", "", "a\nb"]],
  ])("reaches the other side's shell as the words it is made of: %s", (_, argv) => {
    const words = sshArgv("10.0.0.1", argv as [string, ...string[]]);
    expect(words.slice(-3, -1)).toEqual(["--", "10.0.0.1"]);
    const shell = spawnSync("sh", ["-c", `set -- ${words.at(-1)}; printf '%s\\0' "$@"`], { encoding: "utf8" });
    expect(shell.stdout.split("\0").slice(0, -1)).toEqual(argv);
  });
});
