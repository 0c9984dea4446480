"""A function as most begin: import everything at the top, one route, no database yet."""

from __future__ import annotations

import boto3
import sqlalchemy
from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()
engine = sqlalchemy.create_engine("postgresql+pg8000://")
secrets = boto3.client("secretsmanager", region_name="eu-central-1")


@app.post("/api/v1/payments", status_code=202)
async def create(order: dict[str, object]) -> dict[str, object]:
    """Accept any body."""
    return order


handler = Mangum(app, lifespan="off")
