"""An upstream that speaks the wire formats of five families over real HTTP, and misbehaves on cue.

It is written apart from the gateway's own dialects and imports nothing of them: two readings of one wire format that
must agree are a test, one reading used twice is not.

    wire      the HTTP protocol with a hook, so that an app can abort a connection and hear of a client that left
    app       bytes in, a planned `Exchange` out, played on the wire;  calls: what was asked, kept to look at
    family    one row per wire format: credentials, errors, framing;  routes: which path is which operation
    openai, anthropic, gemini, bedrock      requests to planned exchanges (+ _check, _ask, _answer, …)
    persona   what the simulated model says;  schema · tokens · cache: its arguments, its counting, its memory
    faults    the grammar of cues;  misbehave: each cue as a change to a planned exchange
"""
