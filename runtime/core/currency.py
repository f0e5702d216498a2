"""Currencies: ISO 4217 codes and their number of decimals.

Source: ISO 4217 list one as published by SIX, through the PyPI package `iso4217`; a test compares
the two, so an amendment fails the test once the package is updated. Codes without a minor unit
(metals, funds, testing) are excluded: they cannot be charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from runtime.core.echo import quoted

_CODES_BY_DECIMALS: Final[Mapping[int, str]] = {
    0: ("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF "),
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN "
        "BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD "
        "FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW "
        "KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR "
        "MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG "
        "SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD "
        "USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG "
    ),
    3: ("BHD IQD JOD KWD LYD OMR TND "),
    4: ("CLF UYW "),
}

DECIMALS: Final[Mapping[str, int]] = MappingProxyType(
    {code: decimals for decimals, codes in _CODES_BY_DECIMALS.items() for code in codes.split()}
)
"""Number of decimals by currency code."""


def _known(code: str) -> str:
    if code not in DECIMALS:
        if code.upper() in DECIMALS:
            raise ValueError(f"Write the currency in capitals: {code.upper()}")
        raise ValueError(f"must be an ISO 4217 code such as USD; got {quoted(code)}")
    return code


CurrencyCode = Annotated[
    str, AfterValidator(_known), Field(json_schema_extra={"pattern": "^[A-Z]{3}$"})
]
"""An upper-case ISO 4217 code."""
