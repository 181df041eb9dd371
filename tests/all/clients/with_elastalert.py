"""ElastAlert 2 against weir: makes its indices, runs a real rule over real lines, and raises the alert.

usage: with_elastalert.py URL FOLDER   (FOLDER takes its settings and the alert; any wrong answer is an AssertionError)
"""

import datetime
import json
import pathlib
import subprocess
import sys
import time
import urllib.request
from urllib.parse import urlsplit

RULE = """\
name: many errors
type: frequency
index: logs-weir
num_events: 3
timeframe: {minutes: 5}
query_key: service.name
filter:
- query: {query_string: {query: "log.level:error"}}
alert: [command]
command: [tee, ALERT]
pipe_match_json: true
"""


def call(method, url, body=None):
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method=method)
    return json.load(urllib.request.urlopen(request, timeout=30))


def main():
    url, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    address, alert = urlsplit(url), folder / "alert.json"
    now = datetime.datetime.now(datetime.timezone.utc)
    lines = []
    for n in range(8):
        lines.append({"create": {"_index": "logs-weir"}})
        lines.append({
            "@timestamp": (now - datetime.timedelta(seconds=60 - n)).isoformat(), "message": f"order {n} failed",
            "log": {"level": "error" if n % 2 == 0 else "warn"}, "service": {"name": "shop"},
        })
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert not call("POST", url + "/_bulk?refresh=true", body)["errors"]

    rules = folder / "rules"
    rules.mkdir()
    (rules / "errors.yaml").write_text(RULE.replace("ALERT", str(alert)))
    config = folder / "config.yaml"
    config.write_text(
        f"es_host: {address.hostname}\nes_port: {address.port}\nrules_folder: {rules}\nrun_every: {{seconds: 2}}\n"
        "buffer_time: {minutes: 15}\nwriteback_index: elastalert_status\nalert_time_limit: {days: 2}\n"
    )

    def run(module, *arguments):
        command = [sys.executable, "-m", module, "--config", str(config), *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    run("elastalert.create_index", "--index", "elastalert_status", "--old-index", "")
    start = (now - datetime.timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    command = [sys.executable, "-m", "elastalert.elastalert", "--config", str(config), "--verbose", "--start", start]
    with open(folder / "log", "w+") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        try:
            waited = time.monotonic()
            while not (alert.exists() and alert.stat().st_size) and time.monotonic() - waited < 90:
                assert running.poll() is None, "elastalert ended: " + (folder / "log").read_text()
                time.sleep(0.2)
            # What it sent is written down a moment later.
            sent = 0
            while sent == 0 and time.monotonic() - waited < 90:
                call("POST", url + "/elastalert*/_refresh")
                sent = call("GET", url + "/elastalert_status/_search?q=alert_sent:true")["hits"]["total"]["value"]
        finally:
            running.terminate()
            running.wait(30)
    assert alert.exists() and sent, "no alert was raised: " + (folder / "log").read_text()
    matches = json.loads(alert.read_text())
    assert matches[0]["num_hits"] == 4 and matches[0]["log"]["level"] == "error", matches
    print("elastalert2")


main()
