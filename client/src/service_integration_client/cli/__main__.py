"""`python -m service_integration_client.cli`."""

from service_integration_client.cli.app import main

if __name__ == "__main__":
    main()
