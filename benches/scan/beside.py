"""What a scan takes beside syft: the same image layout, in turn, each in a process of its own."""

import os
import shutil

import pull
import tree
import watched

# Seconds that one scan may take.
SECONDS_MAX = 600
DONE, REFUSED = 0, 3


def measure(run):
    layout = tree.layout(run.image, os.path.join(run.folder, "layout"))
    database = pull.small_database(run)
    ours = [run.binary, "scan", "--json", "--database", database, "--platform", "linux/amd64", f"oci:{layout}"]
    commands = {"pratique scan": (ours, (DONE, REFUSED))}
    syft = run.options.syft or os.path.join(run.options.kept, "syft")
    if os.access(syft, os.X_OK):
        commands["syft"] = ([syft, "scan", "--quiet", "--output", "json", f"oci-dir:{layout}"], (DONE,))
    else:
        run.skip("syft: not there")
    environment = {**os.environ, "TMPDIR": run.folder, "SYFT_CHECK_FOR_APP_UPDATE": "false"}

    def one(name):
        command, codes = commands[name]
        answer = os.path.join(run.folder, "answer.json")
        with open(answer, "wb") as out:
            code, cost = watched.run(command, limit=SECONDS_MAX, stdout=out, env=environment, cwd=run.folder)
        if code not in codes:
            raise OSError(f"{name} ended with {code}")
        return {"seconds": cost.wall, "cpu": cost.processor, "user": cost.user, "memory": cost.memory,
                "packages": packages(name, answer)}

    # Once that does not count: programs and image are in memory then.
    for name in commands:
        one(name)
    run.each_round("beside", list(commands), one)
    shutil.rmtree(layout)


def packages(name, answer):
    import json
    with open(answer, encoding="utf-8") as file:
        document = json.load(file)
    return len(document["artifacts"]) if name == "syft" else sum(len(image["packages"]) for image in document["images"])
