FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app/client/src \
    ENVIRONMENT=production \
    SERVICE_HOST=0.0.0.0 \
    SERVICE_PORT=8090 \
    DATA_DIR=/data

WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.txt

COPY . .
# Once, instead of at the start of each process.
RUN python -m compileall -q .

RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin hub \
    && install --directory --owner hub --group hub --mode 0700 /data
USER hub
VOLUME /data
EXPOSE 8090

HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, os; web = http.client.HTTPConnection('127.0.0.1', int(os.environ['SERVICE_PORT']), timeout=4); web.request('GET', '/health/alive'); raise SystemExit(web.getresponse().status >= 500)"]

CMD ["gunicorn", "integration_site.asgi"]
