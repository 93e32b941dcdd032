"""Requests to a LiteLLM on loopback."""
import http.client
import json
import urllib.parse

MASTER_KEY = 'sk-master-1234'  # of a LiteLLM that nobody else can reach and that lives for minutes


def call(url, path, body=None, key=None, timeout=60):
    """One request, a POST if it has a body: (status, JSON or text)."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=timeout)
    try:
        headers = {'Authorization': 'Bearer ' + key} if key else {}
        if body is not None:
            headers['Content-Type'] = 'application/json'
        connection.request('GET' if body is None else 'POST', path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode('utf-8', 'replace')
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, text
