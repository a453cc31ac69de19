"""Reads a channel with Python's standard library, and continues after a lost connection.

Usage: reader.py <URL of the events> <token> <number of events> stream|poll
Prints each event as a line: its id and its JSON.
"""

import http.client
import json
import sys
import time
from urllib.parse import urlencode
from urllib.request import Request, urlopen

url, token, count, mode = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
HEADERS = {"Authorization": "Bearer " + token}


def stream(last_id):
    """Yields the id and the JSON of each server-sent event after `last_id`."""
    headers = {**HEADERS, "Accept": "text/event-stream"}
    if last_id:
        headers["Last-Event-ID"] = last_id
    kind, event_id, data = "message", None, ""
    with urlopen(Request(url, headers=headers), timeout=60) as response:
        for line in response:
            field, _, value = line.decode().rstrip("\r\n").partition(": ")
            if field == "event":
                kind = value
            elif field == "id":
                event_id = value
            elif field == "data":
                data += value
            elif field == "":
                if kind == "message" and data:
                    yield event_id, json.loads(data)["json"]
                kind, event_id, data = "message", None, ""


def poll(after):
    """Yields the id and the JSON of each event of one page, which waits for events. The last item has the cursor of the next page."""
    query = {"wait": 20, **({"after": after} if after else {})}
    with urlopen(Request(url + "?" + urlencode(query), headers=HEADERS), timeout=60) as response:
        page = json.load(response)
    for event in page["events"]:
        yield event["id"], event["json"]
    yield page["next"], None


cursor, read = None, 0
while read < count:
    try:
        for event_id, event in (stream if mode == "stream" else poll)(cursor):
            cursor = event_id
            if event is None:
                continue
            print(event_id, json.dumps(event), flush=True)
            read += 1
            if read == count:
                break
    except (OSError, ValueError, http.client.HTTPException):
        pass
    time.sleep(0.05)
