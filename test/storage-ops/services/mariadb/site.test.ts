import { describe, expect, it } from "vitest";
import { contentArgv, readSite } from "../../../../src/storage-ops/services/mariadb/site.ts";
import { exits, type FakeAnswer } from "../../../fakes/fake-host.ts";
import { NEW, SHOW, siteHost, there, unit } from "./fixture.ts";

describe("the data directory of a node that is to become a member", () => {
  const content = async (listed: FakeAnswer, state = "inactive") => {
    const host = siteHost({
      [there(NEW, ...SHOW)]: unit(state),
      [there(NEW, ...(contentArgv("/var/lib/mysql") as [string]))]: listed,
    });
    const site = await readSite(host, { address: NEW, isLocal: false }, "none", []);
    expect(site.problem).toBeUndefined();
    return [site.content, site.found];
  };

  it.each([
    ["what mariadb-install-db makes", "d mysql\nd sys\nd performance_schema\nf ibdata1\nd test\nf test/db.opt\n"],
    ["nothing", ""],
  ])("is fresh with %s", async (_, listed) => {
    expect(await content(listed)).toEqual(["fresh", ""]);
  });

  it("is fresh where it is not there yet", async () => {
    expect(await content(exits(1, "find: '/var/lib/mysql': No such file or directory\n"))).toEqual(["fresh", ""]);
  });

  it.each([
    ["a database", "d mysql\nd shop\n", "shop"],
    ["a link to a database's directory", "d mysql\nl shop\n", "shop"],
    ["a link in place of a directory of its own", "d mysql\nl test\n", "test"],
    ["a table in the database test", "d mysql\nd test\nf test/db.opt\nf test/orders.frm\n", "test/orders.frm"],
  ])("is somebody's with %s", async (_, listed, found) => {
    expect(await content(listed)).toEqual(["used", found]);
    // A table that goes away while a server runs is an error of find's; what it has listed counts.
    const vanished = exits(1, "find: '/var/lib/mysql/#sql': No such file or directory\n", listed);
    expect(await content(vanished, "active")).toEqual(["used", found]);
  });

  it.each<[string, FakeAnswer]>([
    ["is empty", ""],
    ["is not there", exits(1, "find: '/var/lib/mysql': No such file or directory\n")],
  ])("is unknown when a server runs and it %s", async (_, listed) => {
    expect(await content(listed, "active")).toEqual(["unknown", "nothing, and its MariaDB runs"]);
  });

  it("is looked at where a link in its place leads", () => {
    expect(contentArgv("/d").slice(0, 3)).toEqual(["find", "-H", "/d"]);
  });
});
