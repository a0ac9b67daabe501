/**
 * The running step on a terminal: a spinner, its title, and how it goes. listr2 is loaded only there.
 * Input: the step's title; a line at a time. Output: on stdout, one finished line a step, which stays.
 */
export type StepView = { say: (text: string) => void; end: (isDone: boolean) => Promise<void> };

export async function showStep(title: string): Promise<StepView> {
  const { Listr } = await import("listr2");
  let say: StepView["say"] = () => undefined;
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  let finish: (isDone: boolean) => void = () => undefined;
  const finished = new Promise<boolean>((resolve) => {
    finish = resolve;
  });
  const running = new Listr(
    [
      {
        title,
        task: async (_, task) => {
          say = (text) => {
            task.output = text;
          };
          begin();
          if (!(await finished)) throw new Error(title);
        },
      },
    ],
    // Ctrl-C is the operation's own business: it ends between two steps.
    { registerSignalListeners: false, exitOnError: false, rendererOptions: { showErrorMessage: false } },
  ).run();
  await begun;
  return {
    say,
    end: async (isDone) => {
      finish(isDone);
      await running;
    },
  };
}
