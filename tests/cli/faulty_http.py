"""What the small servers of these tests have in common: they are silent, and break off when they are told to."""
import http.server
import socket


class Refusal(Exception):
    """An answer other than success."""

    def __init__(self, status, code, message):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # whoever asked has gone
            self.close_connection = True

    def drop(self):
        """No answer: the connection ends."""
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def reply(self, status, headers, body):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
