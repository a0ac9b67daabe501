/**
 * The inbox: what the alert agent left there as hacluster is merged by root's next fence action, and nothing that was
 * planted there makes root read, write or wait where it should not. Source: SPEC 3 "Durability", Ownership.
 */
import { expect, it } from "vitest";
import { liveDescribe } from "../live/requirements.ts";
import { Lab, waitFor } from "./lab.ts";

const INBOX = "/var/lib/fencepost/inbox";
const outcome = (number: number, more: object = {}): string =>
  JSON.stringify({
    timestamp: "2026-11-20T10:54:52Z",
    action: "off",
    target_node: `node${number}`,
    gfs2_filesystems: ["none-detected"],
    status: "succeeded",
    details: "Operation off",
    recorder_node: "rabbit-node-1",
    pacemaker_action: "off",
    schema: 1,
    event_id: `e0d1c336-5bb6-44ab-b207-${String(number).padStart(12, "0")}`,
    time_ms: 1_795_172_092_853,
    source: "stonith",
    operation: { client: "pacemaker-controld", rc: 0 },
    ...more,
  });

liveDescribe("the inbox", ["root", "namespaces", "overlayfs", "nsenter", "executable"], () => {
  const openLab = async () => {
    const lab = await Lab.open();
    lab.sh(`mkdir -p ${INBOX}; chmod 700 ${INBOX}`);
    return lab;
  };
  const put = (lab: Lab, name: string, text: string) => lab.sh(`cat >${INBOX}/${name} <<'END'\n${text}\nEND`);
  const fence = async (lab: Lab, target: string) => {
    const call = { stdin: `nodename=${target}\naction=on\nno_gfs2_discovery=1\n`, fencer: true };
    expect((await lab.run(call)).exitCode).toBe(0);
    await lab.eventFor(target);
    await lab.settled();
  };
  const outcomes = (lab: Lab) =>
    lab
      .sh(`cat ${lab.logDir}/fence-outcomes.jsonl 2>/dev/null || true`)
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { target_node: string; source: string });

  it("is merged once each by the next fence action, as coming from an alert", async () => {
    const lab = await openLab();
    put(lab, "a.json", outcome(1));
    put(lab, "b.json", outcome(2));
    put(lab, "again.json", outcome(1));
    await fence(lab, "first");
    put(lab, "late.json", outcome(2));
    await fence(lab, "second");
    expect(outcomes(lab).map(({ target_node, source }) => [target_node, source])).toEqual([
      ["node1", "alert"],
      ["node2", "alert"],
    ]);
    expect(lab.sh(`ls -A ${INBOX}`)).toBe("");
    expect(lab.sh(`stat -c %a:%U ${lab.logDir}/fence-outcomes.jsonl`).trim()).toBe("640:root");
  });

  it("is not merged into a log that a person named for one call", async () => {
    const lab = await openLab();
    put(lab, "a.json", outcome(1));
    await lab.run({ args: ["-o", "on", "-n", "by-hand", "--log-dir", lab.logDir, "--no-gfs2-discovery"] });
    await lab.eventFor("by-hand");
    await lab.settled();
    expect(outcomes(lab)).toEqual([]);
    expect(lab.sh(`ls ${INBOX}`).trim()).toBe("a.json");
  });

  it("refuses links, FIFOs, directories and what is no outcome, names each once, and still takes the good one", async () => {
    const lab = await openLab();
    lab.sh(`cd ${INBOX}
        echo precious >${lab.directory}/victim; cp ${lab.directory}/victim ${lab.directory}/kept
        ln -s ${lab.directory}/victim link.json
        echo '${outcome(8)}' >/var/lib/fencepost/linked; ln /var/lib/fencepost/linked hard.json
        mkfifo fifo.json; mkdir directory.json
        echo '{"half": ' >half.json
        head -c 70000 /dev/zero | tr '\\0' x >big.json
        echo '${outcome(9, { status: "initiated" })}' >status.json
        echo '${outcome(9, { event_id: "../../x" })}' >path.json
        echo '${outcome(3)}' >.hidden.json`);
    lab.sh(
      `cd ${INBOX}; echo x >"$(printf '\\n[2026-01-01] [INFO] forged.json')"; echo x >"$(printf 'a%.0s' $(seq 230)).json"`,
    );
    put(lab, "good.json", outcome(4));
    const started = performance.now();
    await fence(lab, "first");
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(outcomes(lab).map(({ target_node }) => target_node)).toEqual(["node4"]);
    lab.sh(`cmp ${lab.directory}/victim ${lab.directory}/kept`);
    const warnings = () => lab.sh(`grep WARNING ${lab.logDir}/fence-events.log`).trim().split("\n");
    const planted = ["link", "hard", "fifo", "directory", "half", "big", "status", "path"];
    await waitFor("the warnings", () => (warnings().length >= planted.length ? true : undefined));
    for (const name of planted) expect(warnings().filter((line) => line.includes(`/${name}.json`))).toHaveLength(1);
    await fence(lab, "second");
    expect(warnings()).toHaveLength(planted.length);
    expect(lab.sh(`cat ${lab.logDir}/fence-events.log`)).not.toContain("forged");
  });
});
