/**
 * The working directory is not ours (Pacemaker's belongs to hacluster): what lies there changes nothing.
 * The run time inside the executable would read .env and bunfig.toml if the build did not forbid it.
 * Source: SPEC 2, "a security boundary".
 */
import { expect, it } from "vitest";
import { captureOf } from "../fakes/captured-cluster.ts";
import { liveDescribe } from "../live/requirements.ts";
import { Lab, type Outcome } from "./lab.ts";

const DIRECTORY = "/var/lib/pacemaker/cores";
const LOG_DIR = "/var/log/gfs2-fencing";

const evil = (lab: Lab) =>
  `require("node:fs").writeFileSync(${JSON.stringify(`${lab.directory}/preload-ran`)}, "yes");\n`;

const HOSTILE: [what: string, files: (lab: Lab) => Record<string, string>][] = [
  [
    "hostile",
    (lab) => ({
      ".env": `LOG_DIR=${lab.directory}/stolen\nFENCE_LOG=${lab.directory}/stolen.log\nGFS2_DISCOVERY_ENABLED=false\nKUBECTL_CMD=/bin/false\nPATH=${lab.directory}\nBUN_OPTIONS=--preload=./evil.js\nNODE_OPTIONS=--require=./evil.js\nPCMK_service=\n`,
      ".env.local": `LOG_DIR=${lab.directory}/stolen\n`,
      ".env.production": `LOG_DIR=${lab.directory}/stolen\n`,
      "bunfig.toml":
        'preload = ["./evil.js"]\n[run]\npreload = ["./evil.js"]\nbun = true\n[test]\npreload = ["./evil.js"]\n',
      ".bunfig.toml": 'preload = ["./evil.js"]\n',
      "package.json":
        '{"name":"evil","type":"commonjs","main":"./evil.js","imports":{"#*":"./evil.js"},"overrides":{"execa":"./evil.js"}}\n',
      "tsconfig.json": '{"compilerOptions":{"paths":{"*":["./evil.js"]},"jsxImportSource":"./evil.js"}}\n',
      "evil.js": evil(lab),
      "node_modules/execa/package.json": '{"name":"execa","version":"0.0.0","main":"index.js"}\n',
      "node_modules/execa/index.js": evil(lab),
      "node_modules/saxes/package.json": '{"name":"saxes","version":"0.0.0","main":"index.js"}\n',
      "node_modules/saxes/index.js": evil(lab),
    }),
  ],
  [
    "malformed",
    () => ({
      ".env": "\0\u0001=====\n'''\n\"unclosed\nexport\n=\n$(touch preload-ran)\n",
      "bunfig.toml": '[[[ preload = ["\0\n',
      "package.json": "{{{ not json \0",
      "tsconfig.json": '{"extends": "./tsconfig.json", "compilerOptions": [',
      "jsconfig.json": "\0",
    }),
  ],
];

liveDescribe("a working directory with files", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  const open = async (files?: (lab: Lab) => Record<string, string>): Promise<Lab> => {
    const lab = await Lab.open({ standIns: { capture: captureOf("window") } });
    lab.sh(`mkdir -p -m 750 ${DIRECTORY} ${LOG_DIR}`);
    for (const [name, text] of Object.entries(files?.(lab) ?? {})) lab.write(`${DIRECTORY}/${name}`, text);
    lab.sh(`chown -R 65534:65534 ${DIRECTORY}`);
    return lab;
  };
  const shown = ({ exitCode, stdout, stderr }: Outcome) => ({ exitCode, stdout, stderr });
  const env = { LOG_DIR: undefined };

  it.each(HOSTILE)("%s: metadata, list and a fence are as they are without them", async (_what, files) => {
    const plain = await open();
    const lab = await open(files);
    const before = lab.sh(`find ${DIRECTORY} -type f | sort | xargs md5sum`);
    for (const args of [
      ["-o", "metadata"],
      ["-o", "list"],
      ["-o", "explode"],
      ["-o", "off", "-n", "compute-node-2"],
    ]) {
      const usual = await plain.run({ args, cwd: DIRECTORY, env });
      expect(shown(await lab.run({ args, cwd: DIRECTORY, env }))).toEqual(shown(usual));
    }
    const { exitCode } = await lab.run({
      stdin: "nodename=compute-node-3\naction=off\n",
      cwd: DIRECTORY,
      env,
      fencer: true,
    });
    expect([0, 1]).toContain(exitCode); // the guard's business
    const event = await lab.eventFor("compute-node-2", LOG_DIR);
    expect(event.gfs2_filesystems).toEqual(["gfs2-project", "gfs2-scratch"]);
    await lab.eventFor("compute-node-3", LOG_DIR);
    await lab.settled();
    expect(lab.names(lab.directory)).not.toContain("preload-ran");
    expect(lab.names(lab.directory).filter((name) => name.startsWith("stolen"))).toEqual([]);
    expect(lab.names(DIRECTORY)).not.toContain("preload-ran");
    expect(lab.sh(`find ${DIRECTORY} -type f | sort | xargs md5sum`)).toBe(before);
  });

  it("FIFOs under the names that a run time looks for keep nobody waiting", async () => {
    const lab = await open();
    lab.sh(`cd ${DIRECTORY}; mkfifo .env .env.local bunfig.toml .bunfig.toml package.json tsconfig.json node_modules`);
    const { exitCode, elapsedMs } = await lab.run({ args: ["-o", "off", "-n", "compute-node-2"], cwd: DIRECTORY, env });
    expect(exitCode).toBe(0);
    expect(elapsedMs).toBeLessThan(2500);
    await lab.eventFor("compute-node-2", LOG_DIR);
  });

  it("one that the user may not read is no hindrance to metadata", async () => {
    const lab = await open();
    lab.sh(`chown 0:0 ${DIRECTORY}; chmod 711 ${DIRECTORY}; chmod 711 ${DIRECTORY}/..`);
    const prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const { exitCode, stderr } = await lab.run({ args: ["-o", "metadata"], cwd: DIRECTORY, env, prefix });
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: "" });
  });
});
