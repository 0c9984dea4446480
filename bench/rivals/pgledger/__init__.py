"""pgledger, a ledger of SQL functions, as its authors publish it (https://github.com/pgr0ss/pgledger, c18c7d2).

`pgledger.sql` is under the MIT license in `LICENSE`. `uuid-to-ulid.sql`, which it needs, is scoville/pgsql-ulid, under
the BSD license in `LICENSE.ulid`. Neither file is changed, and neither is part of the product.
"""
