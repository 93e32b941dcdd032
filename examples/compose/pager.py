"""Prints the alerts that Alertmanager sends to http://pager:8080/, as somebody would read them on a telephone."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer

PLACEHOLDER = "https://example.com"  # how the links in the rules begin; here they lead to files of the repository and to Grafana beside


class Pager(BaseHTTPRequestHandler):
    def do_POST(self):
        for alert in json.loads(self.rfile.read(int(self.headers["Content-Length"])))["alerts"]:
            labels, annotations = alert["labels"], alert["annotations"]
            print(f"\n[{alert['status'].upper()} {labels['severity']}] {annotations['summary']}")
            if alert["status"] == "firing":
                print(annotations["description"])
                print("What to do:", annotations["runbook_url"].replace(PLACEHOLDER + "/litellm_budget_exporter/", ""))
                print("See it:", annotations["dashboard_url"].replace(PLACEHOLDER + "/grafana", "http://127.0.0.1:3000"))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


HTTPServer(("", 8080), Pager).serve_forever()
