"""Pages of one file: what users wrote is text in them, and nothing is fetched."""

import base64
import hashlib
import json
import re

import pytest

from boxray import page

NASTY = "</script><script>alert(1)</script><!-- & \u2028 <img src=x onerror=alert(2)>"


def made(data=None, title="t", script="'use strict';") -> str:
    return page.document(title, body="<main></main>", styles="main{}", script=script, data=data)


def test_what_users_wrote_stays_text():
    text = made(data={"name": NASTY}, title=NASTY)
    assert 2 == text.count("<script")  # the data and the page's own
    assert "<img" not in text
    inside = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert {"name": NASTY} == json.loads(inside[1])


def test_the_policy_names_the_own_script_and_style_and_nothing_else():
    text = made(script="let a = 1;")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    digest = base64.b64encode(hashlib.sha256(b"let a = 1;").digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


def test_nothing_in_a_page_points_elsewhere():
    assert [] == re.findall(r"(?:src|href)=|url\(|@import|https?:", made())


def test_numbers_that_json_does_not_have_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        made(data=[float("nan")])


def test_a_picture_becomes_an_address():
    assert "data:image/png;base64,AAE=" == page.data_uri(b"\0\1", "png")
