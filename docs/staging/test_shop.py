import pytest
import requests
from conftest import ACCOUNT
from shop import SALES
from twilio.base.exceptions import TwilioRestException


def test_a_lost_answer_buys_once(world, shop):
    world.post("/faults", on={"method": "POST", "route": "…/IncomingPhoneNumbers"}, do={"cut": "after"})
    requests.post(f"{shop.url}/orders", data={"area_code": "415"})

    # The shop buys later: this waits until it has asked twice.
    lost, again = world.get("/log", kind="request", count=2, wait="5s")["entries"]
    assert (lost["fault"], again["replay"]) == ("F1", True)
    assert [number.phone_number for number in world.client.incoming_phone_numbers.list()] == ["+14158670000"]
    assert [paid["amount"] for paid in world.get("/log", kind="money")["entries"]] == ["-1.00"]


def test_who_does_not_pay_for_three_months_is_suspended(world, shop):
    number = shop.sell("415")
    moved = world.post("/clock", advance="P3M")
    assert moved["suspended"] == [ACCOUNT]

    with pytest.raises(TwilioRestException) as refused:
        shop.sell("415")
    assert refused.value.code == 20005
    call = world.call(number.phone_number)
    assert (call["requests"], call["notifications"][0]["code"]) == ([], 10003)


def test_pressing_1_leads_to_sales(world, shop):
    number = shop.sell("415")
    call = world.call(number.phone_number, "press 1; dial answered 20")
    assert [step["verb"] for step in call["steps"]] == ["Say", "Gather", "Dial"]
    assert call["steps"][-1]["dialled"] == [SALES]


def test_a_broken_url_leads_to_the_fallback(world, shop):
    number = shop.sell("415")
    number.update(voice_url=f"{shop.url}/nowhere")
    call = world.call(number.phone_number)
    assert [(asked["why"], asked["status"]) for asked in call["requests"]] == [("url", 404), ("fallback", 200)]
    assert [said["text"] for said in call["steps"]] == ["Please call again later."]
    assert [error["code"] for error in call["notifications"]] == [11200]
