"""generate.py OUT ROOT - see generate.sh."""
import os
import re
import sys

FLOORS = ("base", "proto", "storage", "cluster", "api", "server", "gm-agent")
SEVERITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "informational", "debug")
MADE = "<!-- Written by docs/generate.sh. Change the source, not this file. -->\n"
TITLES = {
    768: "User Datagram Protocol",
    1123: "Requirements for Internet Hosts",
    2104: "HMAC",
    2407: "The Internet IP Security Domain of Interpretation for ISAKMP",
    2408: "Internet Security Association and Key Management Protocol (ISAKMP)",
    2409: "The Internet Key Exchange (IKE)",
    2627: "Key Management for Multicast: Issues and Architectures",
    3339: "Date and Time on the Internet: Timestamps",
    3394: "AES Key Wrap",
    3526: "More MODP Diffie-Hellman groups for IKE",
    3547: "The Group Domain of Interpretation (obsoleted by RFC 6407)",
    3602: "The AES-CBC Cipher Algorithm and Its Use with IPsec",
    3629: "UTF-8",
    3686: "AES Counter Mode with ESP",
    3706: "Dead Peer Detection",
    3947: "Negotiation of NAT-Traversal in the IKE",
    3948: "UDP Encapsulation of IPsec ESP Packets",
    4106: "The Use of GCM in ESP",
    4301: "Security Architecture for the Internet Protocol",
    4303: "IP Encapsulating Security Payload (ESP)",
    4304: "Extended Sequence Number Addendum for ISAKMP",
    4543: "The Use of GMAC in ESP and AH",
    4754: "IKE and IKEv2 Authentication Using ECDSA",
    4868: "HMAC-SHA-256, HMAC-SHA-384 and HMAC-SHA-512 with IPsec",
    5280: "X.509 certificates and CRLs",
    5374: "Multicast Extensions to the Security Architecture for IP",
    5424: "The Syslog Protocol",
    5649: "AES Key Wrap with Padding",
    5903: "ECP Groups for IKE and IKEv2",
    6054: "Using Counter Modes with ESP and AH to Protect Group Traffic",
    6407: "The Group Domain of Interpretation",
    7296: "Internet Key Exchange Protocol Version 2 (IKEv2)",
    7383: "IKEv2 Message Fragmentation",
    8052: "GDOI Protocol Support for IEC 62351 Security Services",
    8247: "Algorithm Implementation Requirements and Usage Guidance for IKEv2",
    8263: "GDOI GROUPKEY-PUSH Acknowledgement Message",
    8446: "TLS 1.3",
    9110: "HTTP Semantics",
    9112: "HTTP/1.1",
    9457: "Problem Details for HTTP APIs",
}

STRING = r'"(?:\\.|[^"\\])*"'
# A section is "5.6.2", "5" or "appendix B"; several may follow: "5.2.1, 5.3 and 5.4", "5.2-5.5".
SECTION = r"(?:\d+(?:\.\d+)+|\d{1,2}(?![\d.]*\w)(?!\s+[a-z])|[Aa]ppendix [A-Z](?:\.\d+)*)"
MENTION = re.compile(
    r"RFC (\d{3,4})(?!\d)(?:'s)?(?:,? (?:section )?(" + SECTION + r"(?:(?:, (?:and )?| and |-)" + SECTION + r")*))?"
)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def unquote(text):
    """The text of one or more C string literals side by side."""
    joined = "".join(part[1:-1] for part in re.findall(STRING, text))
    return re.sub(r"\\(.)", lambda m: {"n": " ", "t": " "}.get(m.group(1), m.group(1)), joined)


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def event_rows(root):
    """Section title (the comment above it) or row (name, facility, severity, format, meaning, remedy)."""
    texts = r"((?:" + STRING + r"\s*)+)"
    row = re.compile(r"EVENT\(\s*(\w+)\s*,\s*(\w+)\s*,\s*(\d)\s*,\s*" + r",\s*".join([texts] * 3) + r"\)")
    source = read(root, "base/event.def")
    first = source.index("*/") + 2  # behind the head
    at = first
    count = 0
    for match in re.finditer(r"/\*\s*(.*?)\s*\*/|" + row.pattern, source[first:], re.S):
        if source[at:first + match.start()].strip():
            sys.exit("generate: base/event.def: not understood: " + source[at:first + match.start()].strip()[:80])
        at = first + match.end()
        if match.group(1) is not None:
            yield " ".join(match.group(1).split())
        else:
            count += 1
            yield match.group(2, 3, 4) + tuple(unquote(match.group(i)) for i in (5, 6, 7))
    if source[at:].strip() or count == 0:
        sys.exit("generate: base/event.def: not understood: " + source[at:].strip()[:80])


def events(root):
    out = [MADE, "# Events\n",
           "Every line that Quorate logs, as `%FACILITY-severity-NAME: text`. `%s`, `%u` and the like stand for what the",
           "line is about. Severities are those of syslog: "
           + ", ".join("%d %s" % pair for pair in enumerate(SEVERITIES)) + "."]
    for row in event_rows(root):
        if isinstance(row, str):
            out += ["", "## " + row[0].upper() + row[1:]]
            continue
        name, facility, severity, text, meaning, remedy = row
        out += ["", "### %%%s-%s-%s" % (facility, severity, name), "", "    " + text, "",
                "%s: %s" % (SEVERITIES[int(severity)].capitalize(), meaning)]
        if remedy != "None.":
            out += ["", "**What to do:** " + remedy]
    return "\n".join(out) + "\n"


def table_rows(root, path, macro, columns):
    """Rows of a .def table: bare words and texts, as written in columns ("w" or "t")."""
    text = r"((?:" + STRING + r"\s*)+)"
    parts = {"w": r"(\w+)", "t": text}
    row = re.compile(macro + r"\(\s*" + r"\s*,\s*".join(parts[c] for c in columns) + r"\)")
    source = re.sub(r"/\*.*?\*/", "", read(root, path), flags=re.S)
    rows = [[unquote(match.group(i + 1)) if c == "t" else match.group(i + 1) for i, c in enumerate(columns)]
            for match in row.finditer(source)]
    left = row.sub("", source).strip()
    if left or not rows:
        sys.exit("generate: %s: not understood: %s" % (path, left[:80]))
    return rows


def api(root):
    out = [MADE, "# REST API\n",
           "HTTP/1.1 on `api.listen`, by default `http://127.0.0.1:8480`. JSON in UTF-8. `{g}` is the name of a group and",
           "`{identity}` a member's identity as the members list shows it, both percent-encoded. HEAD is served wherever GET",
           "is. No answer holds key material, wrapped or not.", "",
           "| method | path | what | role | ksctl |", "|---|---|---|---|---|"]
    for _, method, path, command, summary, role in table_rows(root, "api/routes.def", "ROUTE", "wwtttw"):
        out.append("| %s | `%s` | %s | %s | `%s` |" % (method, path, cell(summary), role.lower(), command))
    out += ["", "## Conventions", "",
            "- Times are RFC 3339 in UTC; what ends in `_s` is seconds, `_ms` milliseconds, `_octets` and `_bits` as they say."
            "\n  `remaining_s` is counted in cluster time, at the moment of the answer.",
            "- Answers from the replicated state carry `X-Applied-Index`, the Raft index that they show, and an `ETag` made of"
            "\n  cluster and index: send it back as `If-None-Match`, and 304 says that nothing was committed since.",
            "- Lists of members come in pages: `next` is null, or the `cursor` of the next page. Members that register while"
            "\n  one reads appear or not; none is shown twice.",
            "- A write is answered once it is committed and applied, so a GET that follows it shows it.",
            "- A body is optional and has at most 65536 octets of `application/json`, with `Content-Length`.",
            "- `Host` must be an address or `localhost` while the API listens on loopback, and `Origin`, if there is one, must"
            "\n  name the same host: a page of another site can neither read answers through a browser nor make it act.",
            "- A request must be complete 15 seconds after the connection or the last answer; 64 connections are served at once.",
            "- `role` is who may use a path once there are users; today whoever reaches the port may.", "",
            "## Problems", "",
            "Errors are `application/problem+json` (RFC 9457): `type`, `title`, `status`, `detail`, and `error`, the name of",
            "the code in base/err.def, where there is one.", "", "| status | type | title |", "|---|---|---|"]
    for _, status, slug, title in table_rows(root, "api/problem.def", "PROBLEM", "wwtt"):
        out.append("| %s | `urn:quorate:problem:%s` | %s |" % (status, slug, cell(title)))
    return "\n".join(out) + "\n"


def sources(root, folders):
    for top in folders:
        for folder, dirs, names in os.walk(os.path.join(root, top)):
            dirs.sort()
            for name in sorted(names):
                if name.endswith((".c", ".h", ".def")):
                    yield os.path.relpath(os.path.join(folder, name), root)


def comments(text):
    found = re.findall(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|(/\*.*?\*/|//[^\n]*)', text, re.S)
    for comment in found:
        if comment:
            yield re.sub(r"\s*\n\s*\*?\s*", " ", comment)  # a mention may go on in the next line


def section_key(section):
    numbers = [int(n) for n in re.findall(r"\d+", section)]
    return (section[:1].isalpha(), section[:10] if section[:1].isalpha() else "", numbers)


def mentions(text):
    """Pairs (RFC, section or '') of the comments of one file."""
    for comment in comments(text):
        for match in MENTION.finditer(comment):
            named = match.group(2)
            if named is None:
                yield int(match.group(1)), ""
                continue
            for section in re.split(r", (?:and )?| and ", named):
                if re.fullmatch(r"[\d.]+-[\d.]+", section):
                    section = section.replace("-", " to ")
                yield int(match.group(1)), section[:1].upper() + section[1:]


def rfc_map(root):
    table = {}
    for column, folders in ((0, FLOORS), (1, ("tests",))):
        for path in sources(root, folders):
            for rfc, section in mentions(read(root, path)):
                files = table.setdefault(rfc, {}).setdefault(section, (set(), set()))[column]
                files.add(path)
    out = [MADE, "# RFC map\n",
           "Which file follows which section, as the comments in the source name them. A dash means the RFC as a whole."]
    for rfc in sorted(table):
        out += ["", "## RFC %d%s" % (rfc, ": " + TITLES[rfc] if rfc in TITLES else ""), "",
                "| section | source | tests |", "|---|---|---|"]
        for section in sorted(table[rfc], key=section_key):
            lists = [", ".join("[%s](../%s)" % (path, path) for path in sorted(files))
                     for files in table[rfc][section]]
            out.append("| %s | %s | %s |" % (cell(section) or "-", lists[0], lists[1]))
    return "\n".join(out) + "\n"


def main():
    out, root = sys.argv[1:3]
    for name, text in (("EVENTS.md", events(root)), ("API.md", api(root)), ("RFC-MAP.md", rfc_map(root))):
        with open(os.path.join(out, name), "w", encoding="utf-8") as file:
            file.write(text)


main()
