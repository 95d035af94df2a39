"""Fake WeChat doors, written from what the real ones answer, and the real wechaty gateway as a peer.

wechaty: ``boxes`` (files as JSON, pure), ``watch`` (what a test sees) <- ``world`` (people, rooms, messages, faults)
<- ``service`` (the gRPC calls) <- ``puppet`` (the server, killed and started again) · ``node`` drives the real gateway
of ``gateway/``, with the same names.

iLink: ``ilink``, whose header names its parts; WeCom: ``wecom``, likewise. An official account: ``mp``, with
``mp_envelope`` (what is signed and encrypted, pure).
"""
